"""Connectors: one module or package per platform, named as the platform is in the configuration."""
