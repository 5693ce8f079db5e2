"""Language models by counting: n-grams of tokens, counted by sorting arrays. numpy alone; torch is not needed."""
