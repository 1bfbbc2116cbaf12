// The official client, in a file of its own: it is loaded when somebody signs in.
export { credsAuthenticator, headers, nkeyAuthenticator, wsconnect } from "@nats-io/nats-core";
