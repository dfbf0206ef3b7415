"""The JSON shapes of the API: each is written, read and described for OpenAPI in one place. The
server, the reader over HTTP, `--json` and exports use them."""
