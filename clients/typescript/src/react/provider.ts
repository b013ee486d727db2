/** The client for all components below, made when the first of them needs it, or given. */

import { createContext, createElement, useContext, useEffect, useState } from "react";
import type { ReactElement, ReactNode } from "react";
import { Bookcast, type BookcastOptions } from "../client.js";
import { clientOf, type Holder } from "./feed.js";
import { lingering } from "./linger.js";

const Context = createContext<Holder | undefined>(undefined);

export interface BookcastProviderProps {
  /** A client of yours, which you close. */
  client?: Bookcast | undefined;
  /** Without a client: the server, for a client of the provider's own. In a page its own by default. */
  url?: string | undefined;
  /** Of the provider's own client. Only `getToken` may change. */
  options?: BookcastOptions | undefined;
  children?: ReactNode;
}

/** Gives a client to the hooks below it. */
export function BookcastProvider({
  client,
  url,
  options,
  children,
}: BookcastProviderProps): ReactElement {
  const [own, setOwn] = useState(() => ownClient(url));
  if (own.url !== url) setOwn(ownClient(url));
  own.options ??= options;
  useEffect(() => {
    own.options = options; // with the newest getToken
  });
  useEffect(() => own.use(), [own]);
  return createElement(Context.Provider, { value: client ?? own }, children);
}

/** Who has the client: what is passed, or the provider above; undefined where there is none. */
export function useHolder(client: Bookcast | undefined): Holder | undefined {
  const holder = useContext(Context);
  return client ?? holder;
}

/** The client; undefined while a page is rendered on a server, and before the first effect. */
export function useBookcast(): Bookcast | undefined {
  const holder = useHolder(undefined);
  const [client, setClient] = useState<Bookcast>();
  useEffect(() => {
    setClient(holder && clientOf(holder));
  }, [holder]);
  return client;
}

/** A client that exists from when it is needed first until its provider is gone for a while. */
interface OwnClient {
  options: BookcastOptions | undefined;
  readonly url: string | undefined;
  readonly client: Bookcast;
  readonly use: () => () => void;
}

function ownClient(url: string | undefined): OwnClient {
  let client: Bookcast | undefined;
  return {
    url,
    options: undefined,
    get client() {
      const { getToken } = this.options ?? {};
      return (client ??= new Bookcast(url, {
        ...this.options,
        getToken: getToken && (() => this.options?.getToken?.() ?? ""),
      }));
    },
    use: lingering(() => {
      client?.close();
      client = undefined;
    }),
  };
}
