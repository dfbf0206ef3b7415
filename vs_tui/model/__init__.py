"""The heart: events, spans, traces, folding, correlation and metrics. Pure; read it first."""
