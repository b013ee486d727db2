/** The line that subscribes from a browser's console, and copying it. */

export function consoleSnippet(socketAddress: string, symbol: string): string {
  const command = JSON.stringify({ action: "subscribe", symbol });
  return (
    `ws = new WebSocket(${JSON.stringify(socketAddress)}); ` +
    `ws.onopen = () => ws.send(${JSON.stringify(command)}); ` +
    `ws.onmessage = (e) => console.log(JSON.parse(e.data));`
  );
}

/** Copies the text of an element. Without a secure context there is only the selection. */
export async function copyText(element: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection()?.selectAllChildren(element);
    return false;
  }
}
