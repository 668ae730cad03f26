"""Attacks that see only the outputs of the model, and the oracles that show them nothing else.

``square``, ``genattack``, ``nes``, ``spsa`` and ``one_pixel`` use scores. ``boundary``, ``hopskipjump`` and
``substitute`` use labels only; ``substitute`` trains a network, to be attacked in place of the victim.
"""
