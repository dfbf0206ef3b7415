"""One module a screen; `base.View` holds what they share."""
