pytest_plugins = ["gcp_metadata_emulator"]
