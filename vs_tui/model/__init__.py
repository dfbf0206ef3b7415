"""The vocabulary: events, spans, keys, links, times, limits and the filter language. Pure; read it
first."""
