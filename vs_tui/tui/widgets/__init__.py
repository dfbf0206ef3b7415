"""Line-API widgets: each draws its own lines, caches nothing that can go stale, repaints only
the lines that changed, and never moves by itself."""
