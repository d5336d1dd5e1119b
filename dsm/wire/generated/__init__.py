"""Made by protos/generate.py from protos/dsm/v1. Not edited by hand; imported by dsm.wire only."""
