"""One module per screen; `base.View` holds the parts that they share."""
