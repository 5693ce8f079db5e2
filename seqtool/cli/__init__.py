"""The command line: flags in, calls, printing out. Typer and rich live here and nowhere else."""
