// A searcher as the field's own library writes one, unchanged but for the URL: signs two transactions, tries them, sends them as a bundle,
// waits for its block, and takes a second bundle back. Prints what it saw as one line of JSON.
// usage: node searcher.mjs NODE_URL BUNDLES_URL
import { JsonRpcProvider, Network, Wallet, parseEther } from "ethers";
import { FlashbotsBundleProvider, FlashbotsBundleResolution } from "@flashbots/ethers-provider-bundle";

const [node, url] = process.argv.slice(2);
const chain = Network.from(31337);
const provider = new JsonRpcProvider(node, chain, { staticNetwork: chain, polling: true, pollingInterval: 100 });
// Public test keys: anvil's second account, and an identity that owns nothing.
const wallet = new Wallet("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d", provider);
const identity = new Wallet(`0x${"33".repeat(32)}`);
const searcher = await FlashbotsBundleProvider.create(provider, identity, url, chain);

const nonce = await wallet.getNonce();
const pay = (n) => ({
  signer: wallet,
  transaction: {
    type: 2, chainId: 31337, nonce: nonce + n, gasLimit: 21000, to: identity.address, value: parseEther("0.01"),
    maxFeePerGas: 100n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n,
  },
});
const signed = await searcher.signBundle([pay(0), pay(1)]);
const target = (await provider.getBlockNumber()) + 1;
const trial = await searcher.simulate(signed, target);
const sent = await searcher.sendRawBundle(signed, target);
const resolution = await sent.wait();

const later = await searcher.signBundle([pay(2)]);
const uuid = "7b7a5a3e-6d0d-4f0c-9d5e-0a5b6a8f3c11";
const second = await searcher.sendRawBundle(later, (await provider.getBlockNumber()) + 1, { replacementUuid: uuid });
const cancelled = await searcher.cancelBundles(uuid);

console.log(JSON.stringify({
  trial: trial.error ?? { gas: trial.totalGasUsed, hash: trial.bundleHash },
  hash: sent.bundleHash, resolution: FlashbotsBundleResolution[resolution], second: second.bundleHash,
  cancelled: cancelled.error ?? cancelled,
}));
process.exit(0);
