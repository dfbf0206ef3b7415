"""What is done to a whole database: backup, rebuild, restore, retention, forgetting, a changed
configuration."""
