/** The client for all components below, made when the first of them needs it, or given. */

import { createContext, createElement, useContext, useEffect, useMemo, useState } from "react";
import type { ReactElement, ReactNode } from "react";
import { Bookcast, type BookcastOptions } from "../client.js";
import { clientOf, type Holder } from "./feed.js";
import { lingering } from "./linger.js";
import { isShallowlySame } from "./result.js";

/** The clients of providers that are there, or were a moment ago. */
const clients = new Set<OwnClient>();

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

/** Provides a client to the hooks below it. */
export function BookcastProvider({
  client,
  url,
  options,
  children,
}: BookcastProviderProps): ReactElement {
  const given = { ...options, url };
  // One that has stopped for good is of no use to another provider.
  const isAlike = ({ options: theirs, client: { line } }: OwnClient): boolean => !line.final && isShallowlySame(theirs, given);
  const own = useMemo(() => [...clients].find(isAlike) ?? ownClient(given), [url]);
  useEffect(() => {
    own.options = given; // with the newest getToken
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
  options: BookcastOptions & { readonly url: string | undefined };
  readonly client: Bookcast;
  readonly use: () => () => void;
}

function ownClient(options: OwnClient["options"]): OwnClient {
  let client: Bookcast | undefined;
  const own: OwnClient = {
    options,
    get client() {
      client ??= new Bookcast(own.options.url, {
        ...own.options,
        getToken: own.options.getToken && (() => own.options.getToken?.() ?? ""),
      });
      clients.add(own);
      return client;
    },
    use: lingering(() => {
      clients.delete(own);
      client?.close();
      client = undefined;
    }),
  };
  return own;
}
