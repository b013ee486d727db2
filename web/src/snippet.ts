/** The line that subscribes from a browser's console, and copying it. */

export function consoleSnippet(socketAddress: string, symbol: string): string {
  // Spaces where JSON may have them: the line breaks there in a narrow box.
  const command = `{"action": "subscribe", "symbol": ${JSON.stringify(symbol)}}`.replace(/[\\']/g, "\\$&");
  return (
    `ws = new WebSocket(${JSON.stringify(socketAddress)}); ` +
    `ws.onopen = () => ws.send('${command}'); ` +
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
