// Work that goes on while what comes next is prepared: one piece at a time, and in order.

/** Begins a piece when the one before is done; rejects with what that one failed with, and then begins none. */
type Begin = (piece: () => Promise<void>) => Promise<void>;

/**
 * Lends what begins pieces of work. Resolves when the last of them is done; rejects when `prepare` or a piece does, and not
 * before the piece that is under way has ended, so that whoever cleans up takes nothing away from it.
 */
export async function overlapping(prepare: (begin: Begin) => Promise<void>): Promise<void> {
  let running = Promise.resolve();
  try {
    await prepare(async (piece) => {
      await running;
      running = piece();
      // Whether it was done is asked once, before the next one begins.
      running.catch(() => undefined);
    });
    await running;
  } finally {
    await running.catch(() => undefined);
  }
}
