"""What the author of a connector tests with: everything a connector is given, in memory."""
