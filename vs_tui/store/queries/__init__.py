"""Read-only questions: `reader_protocol` lists them, `reader` answers them from the file."""
