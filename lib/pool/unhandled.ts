/** For an error of a user's callback that nobody of ours may swallow: Node treats it as unhandled. */
export function leaveUnhandled(error: unknown): void {
  void (async () => {
    await Promise.resolve();
    throw error;
  })();
}
