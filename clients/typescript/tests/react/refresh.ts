/** What a build tool does when a module with components was edited. */

import * as Refresh from "react-refresh/runtime";

Refresh.injectIntoGlobalHook(globalThis as unknown as Window & typeof globalThis);

/** Makes a component the newest of its name. `hooks`: what it calls; while that is the same, its state is kept. */
export function sign<C>(component: C, name: string, hooks: string): C {
  const signature = Refresh.createSignatureFunctionForTransform();
  signature(component as never, hooks);
  Refresh.register(component, name);
  return component;
}

/** Has the newest components take the place of those that are rendered. */
export function refresh(): void {
  Refresh.performReactRefresh();
}
