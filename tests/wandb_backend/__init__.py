"""A stand-in for W&B's backend, for tests with the real SDK: there is no other to be had.

By hand: `python -m tests.wandb_backend --port 8765` prints the variables to set, and at the end
what it did not know. In tests: `Backend` as a context manager, or the fixtures of tests/wandb.

It models what SDK 0.31 and its wandb-core send, as they were seen to send it:

- The life of a run: UpsertBucket, the file stream, uploads; resuming (RunResumeStatus, steps go
  on); the stop flag in the file stream's answer; preemption; the heartbeat that fails to come.
- Reading: runs one by one and by filters, their history whole, by keys, from a step, sampled.
- Sweeps made, listed, read, set to a state; runs that belong to them; `wandb agent`.
- Launch: queues, items pushed, listed and deleted, an agent that pops, acknowledges and fails
  them.
- Artifacts found by name, and a file of one downloaded; tests plant them.

An operation is one function, in the table OPERATIONS of the module of its noun. Answers are cut
down to what the query selects. Whatever is not known here (an operation, a field, a filter, a
path) is refused with 400 or 404 and noted in `Backend.unknown`: a new SDK that needs more fails
loudly, and so does a client of ours that asks for what W&B may not have.

Not checked against the real server, because we have none. It is assumed that:

- a run that was asked to stop ends as killed, whatever its exit code; one that ends by itself is
  finished with code 0 and failed with any other;
- a run is crashed after five minutes without a heartbeat, or preempted if it had said that it was
  being preempted, and also if it then exits with another code than 0;
- the states of runs change only as the SDK's `Run.update_state` says, and a refusal is a GraphQL
  error with HTTP status 200;
- joining an unknown sweep is refused; a sweep is PENDING until its first run joins, and is not
  ended by its run_cap; cancelling it stops its runs, and a canceled sweep stays canceled;
- a run that was enqueued for agents is pending until a program begins it, keeps the name that it
  was given, and is killed at once if it is stopped before;
- runs may join sweeps that are PAUSED, and also FINISHED or CANCELED ones: W&B's agents begin none
  there, but no public source tells whether the server refuses a run that names such a sweep itself
  (`World.ended_sweeps_take_runs` off: it does, except for runs that it has already);
- items of launch queues are PENDING, LEASED, CLAIMED or FAILED, the states that W&B's web
  application knows; that they can be asked for an `error` is a guess (agents report one, and no
  public schema has it), so clients must do without it too (`World.has_item_errors`);
- items can be deleted while they are PENDING or LEASED, and stay once they are CLAIMED or FAILED;
- items are taken by priority (0 first, none like 2), then by age, whatever the queue's mode;
- NaN and Infinity arrive as bare words in JSON and are answered as texts, which W&B's own sweeps
  package provides for (`World.writes_bare_nan` answers them bare);
- what was logged nested is sampled under names joined by dots;
- sampled history is thinned out evenly, and `historyKeys` are never late;
- projects are null until something is in them, and there are no permissions but the one key.
"""

from tests.wandb_backend.backend import Backend as Backend
