/** What of a page tells that it is worth trying to connect now; all of it is missing in Node. */
interface PageLike {
  readonly document?: { readonly visibilityState: string } & EventTarget;
  readonly addEventListener?: EventTarget["addEventListener"];
  readonly removeEventListener?: EventTarget["removeEventListener"];
}

/** Calls a listener when the network is back, or the page is shown again. Returns what ends that. */
export function onWake(listener: () => void): () => void {
  const page = globalThis as PageLike;
  const { document } = page;
  const onVisible = () => {
    if (document?.visibilityState === "visible") listener();
  };
  page.addEventListener?.("online", listener);
  page.addEventListener?.("pageshow", listener);
  document?.addEventListener("visibilitychange", onVisible);
  return () => {
    page.removeEventListener?.("online", listener);
    page.removeEventListener?.("pageshow", listener);
    document?.removeEventListener("visibilitychange", onVisible);
  };
}
