"""Calls Runpod serverless endpoints."""
