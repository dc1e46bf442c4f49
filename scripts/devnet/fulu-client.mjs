// Drives @lodestar/api's builder client, the HTTP code of a current Lodestar node, against a builder endpoint in Fulu.
// usage: node fulu-client.mjs URL SLOT PARENT_HASH PARENT_ROOT    Prints one JSON object: what each call came to.
import {getClient} from "@lodestar/api/builder";
import {createChainForkConfig} from "@lodestar/config";
import {ssz} from "@lodestar/types";
import {SecretKey} from "@chainsafe/blst";

const [url, slotText, parentHash, parentRoot] = process.argv.slice(2);
const slot = Number(slotText);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex.slice(2), "hex"));
const epochs = Object.fromEntries(["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"].map((fork) => [`${fork}_FORK_EPOCH`, 0]));
const api = getClient({baseUrl: url, globalInit: {timeoutMs: 12000, headers: {"User-Agent": "Lodestar/probe"}}}, {config: createChainForkConfig(epochs)});

const secret = SecretKey.fromKeygen(Buffer.alloc(32, 9));
const registration = ssz.bellatrix.SignedValidatorRegistrationV1.defaultValue();
registration.message.pubkey = secret.toPublicKey().toBytes();
const result = {};
result.status = (await api.status()).status;
result.register = (await api.registerValidator({registrations: [registration]})).status;
const header = await api.getHeader({slot, parentHash: bytes(parentHash), proposerPubkey: secret.toPublicKey().toBytes()}, {timeoutMs: 5000});
const bid = header.value();
result.header = {status: header.status, wire: header.wireFormat(), version: header.meta().version, value: String(bid.message.value)};
const block = ssz.electra.SignedBlindedBeaconBlock.defaultValue();
block.message.slot = slot;
block.message.parentRoot = bytes(parentRoot);
block.message.body.executionPayloadHeader = bid.message.header;
block.message.body.blobKzgCommitments = bid.message.blobKzgCommitments;
block.message.body.executionRequests = bid.message.executionRequests;
for (const requestWireFormat of ["ssz", "json"]) {
  const v1 = await api.submitBlindedBlock({signedBlindedBlock: {data: block}}, {retries: 0, requestWireFormat});
  const hash = v1.value().executionPayload.blockHash;
  result[`v1_${requestWireFormat}`] = {status: v1.status, block_hash: "0x" + Buffer.from(hash).toString("hex")};
  const v2 = await api.submitBlindedBlockNoResponse?.({signedBlindedBlock: {data: block}}, {retries: 0, requestWireFormat})
    ?? await api.submitBlindedBlockV2({signedBlindedBlock: {data: block}}, {retries: 0, requestWireFormat});
  result[`v2_${requestWireFormat}`] = {status: v2.status};
}
result.block_hash = "0x" + Buffer.from(bid.message.header.blockHash).toString("hex");
console.log(JSON.stringify(result));
