"""Metrics, baselines and what is fitted on validation data: pure functions of numpy arrays.

A value that is not defined, such as the recall of a label that never occurs, is NaN here and None in a report.
"""
