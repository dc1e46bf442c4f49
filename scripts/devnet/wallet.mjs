// A wallet and a subscriber as the field's own library makes them, unchanged but for the URLs. They read all the time, over HTTP and over a
// websocket, and do what they are told on stdin, a word a line: `deploy` puts up a contract that logs when it is called, `call` calls it,
// `end` prints what was seen as one line of JSON. Each answer is one line of JSON, too.
// usage: node wallet.mjs HTTP_URL WEBSOCKET_URL
import { createInterface } from "node:readline";
import { JsonRpcProvider, Network, Wallet, WebSocketProvider } from "ethers";

const [http, websocket] = process.argv.slice(2);
const chain = Network.from(31337);
const options = { staticNetwork: chain, batchMaxCount: 1, cacheTimeout: -1 };
const over = { http: new JsonRpcProvider(http, chain, options), websocket: new WebSocketProvider(websocket, chain, options) };
// Public test key: anvil's third account.
const wallet = new Wallet("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a", over.http);

const seen = { heads: [], logs: [], reads: { http: 0, websocket: 0 }, failures: [], longest_ms: 0, backwards: [] };
let isEnded = false;
over.websocket.on("block", (number) => seen.heads.push(number));
// A subscription is asked for in the background; an answer to a later call shows that it is there.
await over.websocket.getBlockNumber();

async function read(way) {
  let last = 0;
  while (!isEnded) {
    const began = performance.now();
    try {
      const number = Number(await over[way].send("eth_blockNumber", []));
      if (number < last) seen.backwards.push({ way, last, number });
      last = Math.max(last, number);
      await over[way].getBalance(wallet.address, "latest");
      seen.reads[way] += 2;
    } catch (error) {
      seen.failures.push({ way, error: String(error.message ?? error).slice(0, 300) });
    }
    seen.longest_ms = Math.max(seen.longest_ms, Math.round(performance.now() - began));
    await new Promise((done) => setTimeout(done, 5));
  }
}
const reading = [read("http"), read("websocket")];

let nonce = await over.http.getTransactionCount(wallet.address);
let contract = null;
const fees = { chainId: 31337, type: 2, gasLimit: 100000, maxFeePerGas: 100n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n };
async function send(to, data) {
  const raw = await wallet.signTransaction({ ...fees, nonce: nonce++, to, data });
  const hash = await over.http.send("eth_sendRawTransaction", [raw]);
  return { hash, raw };
}

const answer = (value) => console.log(JSON.stringify(value));
answer({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    if (line === "deploy") {
      // Code that logs the topic 42, and code that returns it.
      const sent = await send(null, "0x67602a60006000a10060005260086018f3");
      answer(sent);
    } else if (line.startsWith("watch ")) {
      contract = line.slice(6);
      over.websocket.on({ address: contract }, (log) => seen.logs.push({ block: log.blockNumber, transaction: log.transactionHash, removed: log.removed }));
      await over.websocket.getBlockNumber();
      answer({ watching: contract });
    } else if (line === "call") {
      answer(await send(contract, "0x"));
    } else if (line.startsWith("receipt ")) {
      const receipt = await over.http.getTransactionReceipt(line.slice(8));
      answer({ block: receipt?.blockNumber ?? null, contract: receipt?.contractAddress ?? null, status: receipt?.status ?? null });
    } else if (line === "seen") {
      answer(seen);
    } else if (line === "end") {
      break;
    }
  } catch (error) {
    answer({ error: String(error.message ?? error).slice(0, 500) });
  }
}
isEnded = true;
await Promise.allSettled(reading);
answer(seen);
process.exit(0);
