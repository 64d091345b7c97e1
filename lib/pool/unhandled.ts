/** For an error of a user's callback that nobody of ours may swallow: Node treats it as unhandled. */
export function leaveUnhandled(error: unknown): void {
  void (async () => {
    await Promise.resolve();
    throw error;
  })();
}

/** An error of the callback does not hold up what comes after it here. */
export function callUser(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    leaveUnhandled(error);
  }
}
