"""Checking files of outputs: `sofit validate`. The way of the data: sources, outputs, judge, fixes, reports."""
