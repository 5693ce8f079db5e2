"""Tables of examples: csv, JSON lines, labelled lines, CoNLL columns, series; read lazily and in flat memory."""
