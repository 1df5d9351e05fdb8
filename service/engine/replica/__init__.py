"""Read replicas: copies of a live study in processes beside the server.

A child process (`process.py`) gets a study's trials once and every accepted journal after that, so
what takes long, a heavy sampler say, runs there on exactly the state that an operation began with.
What it writes comes back as data and goes the way of all writes. The server waits in threads that
nothing else needs.

    actor ── feed.py, journals ──► replica.py ── pickle ──► process.py, serving.py
      ▲                               ▲      ◄── JSON ────  (PerCallSampler, Optuna's plots)
      └── draft ── remote_sampler.py ─┘

Samplers, pruners and terminators that a user wrote run in sessions of the sandbox instead
(`user_child.py`, `user_program.py`, `user_study.py`), and all that they say is checked
(`user_answers.py`, `user_sampler.py`).
"""
