"""Samplers, pruners and terminators that users wrote."""
