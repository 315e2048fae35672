"""Syncline: your files on all your devices, on storage you own."""
