"""Attacks that see only what the model puts out, and the oracles that show them no more than that.

By scores: ``square``, ``genattack``, ``nes``, ``spsa``, ``one_pixel``. By labels: ``boundary``, ``hopskipjump``, and
``substitute``, which trains a network to be attacked in the victim's place.
"""
