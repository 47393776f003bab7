"""The configuration file: TOML to frozen settings, every fault named at once. Starts and connects to nothing."""
