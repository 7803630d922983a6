// Package actors is the runtime under the engine's pipeline: bounded mailboxes
// that measure themselves, stages that are pure steps in a thin shell, and a
// system that starts them, drains them in order and, when something breaks,
// makes sure that every message is still answered. It knows nothing of
// databases.
//
// # The parts
//
// A [Mailbox] is a bounded channel with one receiver and any number of senders.
// A [Stage] describes one actor: the mailbox it reads and the functions that
// are its behaviour. A [Worker] is a supervised goroutine without a mailbox.
// [Start] runs a list of them as one [System].
//
// # What a stage does
//
// The shell of every stage is the same loop, and it is the only code that
// receives:
//
//	for {
//		batch := wait for a message, then take what else is waiting, up to MaxBatch
//		out, err := Step(now, batch)       // decides: pure
//		err = Perform(ctx, out)            // does: writes, answers, sends on
//		err = Finish(ctx, out)             // does what need not be in order
//	}
//
// Step belongs to an ordinary value. It holds no goroutine, channel, clock or
// file: it takes messages and the time, and returns what must happen. So a
// stage's logic is tested by calling it, and a whole pipeline can be driven by
// a single-threaded scheduler that calls the same steps in an order drawn from
// a seed. Perform is the short part that touches the world.
//
// A batch is never waited for: a stage that is idle handles one message at
// once, a busy one finds more of them waiting. A batch grows with the load and
// the cost of a write or a sync is shared by as many as asked for it.
//
// A stage can have several workers. The first one has this loop; the others rest
// until its Finish is slow, and then go on with what is waiting. One of them at a time
// receives, steps and performs; finishing is what they do side by side. Few stages
// need that: it is for waits, such as a sync, that can overlap.
//
// A sender that will wait for the outcome anyway may Carry its message: where the
// stage is idle, the sender's goroutine takes the stage's turn and handles the
// message itself, through as many idle stages as pass it on by Carry. The stages,
// their order and their mailboxes are the same; two switches between goroutines a
// stage are saved, which is most of the time of a message that is alone. As soon
// as there is company, messages wait in mailboxes and batches form.
//
// # Ordering
//
//  1. A mailbox delivers in the order in which it accepted. One sender's
//     messages stay in the order of its sends.
//  2. Steps and performs of one stage never overlap: Perform of a batch has
//     returned before Step sees the next, whoever calls them. Finishes may overlap
//     all of it, and end in any order. Who carries holds the turn of every stage
//     passed through until the last one has returned, so nothing can overtake on
//     the way.
//  3. The order of the actors in Start is the order of the pipeline. A blocking
//     Send goes only to a mailbox of a later actor; whatever must go back to an
//     earlier one uses TrySend, and lives with a refusal. This keeps a full
//     pipeline free of deadlock and lets it drain. Only an actor that no other
//     ever waits for may wait for an earlier one.
//  4. Stop ends the actors in that order, each after the one before it has
//     ended: its mailbox refuses, what was accepted is handled, Drained flushes
//     what is left, the goroutine ends. When a stage drains, everything after
//     it still runs.
//
// # Ownership: who answers a message
//
//  5. A send that failed leaves the message with the sender. A send that
//     succeeded gives it away: it will be handled or aborted, whatever happens.
//  6. While a message waits in the mailbox it belongs to the mailbox. If the
//     system is poisoned, the shell calls Abort for it.
//  7. From the call of Step until Perform and Finish have returned nil, the batch
//     belongs to the shell. If one of them fails, by an error or by a panic, the
//     shell calls Abort for every message of that batch. A step that fails need
//     only say so.
//  8. Once Perform and Finish have returned nil, the behaviour owns the batch: it has
//     answered its messages, sent them on, or holds them for later. Drained
//     settles what is held at an orderly end, Abandoned when the system is
//     poisoned.
//  9. Abort may therefore meet a message that Perform answered or sent on before
//     it failed. Answering must be idempotent and safe beside another answer
//     (the first one counts), and a message may not be recycled by whoever
//     answers it while an earlier stage can still abort it. A behaviour that
//     wants no second answer overwrites an entry of the batch once the message
//     is given away: Abort then meets the zero value in its place.
//  10. The batch slice is the shell's and is overwritten by the next batch. Step
//     and Perform may keep the messages, never the slice.
//
// # When something breaks
//
//  11. The first error, panic or call of Poison is the cause, for good. There is
//     no way back: a poisoned system is stopped and a new one is started.
//  12. From that moment every mailbox refuses with the cause, blocked senders
//     wake with it, and the context that Perform holds is cancelled with it.
//     A stage finishes the call it is in and makes no further one: it aborts
//     its batch, if that failed, and whatever waits in its mailbox, then calls
//     Abandoned.
//  13. Nothing can interrupt a call that looks neither at its context nor at a
//     mailbox. Stop gives up when its own context ends; Wait does not.
//
// # Goroutines
//
// Each actor is one goroutine, or as many as it has workers, owned by its system,
// labelled for profiles with actor=<name>, and joined by Wait. The package starts no other. What is carried
// runs on goroutines of others, and is over before Wait returns.
package actors
