"""Training: schedules, objectives and the one loop."""
