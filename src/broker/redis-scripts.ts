/** Reads the epoch, or begins one: then the offsets start anew, so whatever the log still holds must go. */
const readEpoch = (candidate: string) => `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ${candidate}
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  redis.call('DEL', KEYS[2])
end`;

/**
 * Publishes a stored message in one step: epoch, offset, history, PUBLISH. A script is atomic in Redis, so no reader sees
 * one without the others. Expiry: the log lives as long as history is kept, its meta far longer, so that offsets go on
 * counting in the same epoch.
 *
 * - KEYS: the stream's meta (hash: epoch, offset), the stream's log (stream: entry id OFFSET-0, field m)
 * - ARGV: channel, epoch to use if there is none, record, history size, history ms, meta ms
 * - returns: epoch, offset, replicas that the message was handed to
 *
 * @see https://redis.io/docs/latest/commands/xadd/
 */
export const publishScript = `${readEpoch("ARGV[2]")}
local offset = redis.call('HINCRBY', KEYS[1], 'offset', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], offset .. '-0', 'm', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
local replicas = redis.call('PUBLISH', ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[3])
return { epoch, offset, replicas }
`;

/**
 * Reads a stream's position and gives a stream without one its epoch, so that a client can resume from offset 0.
 *
 * - KEYS: meta, log
 * - ARGV: epoch to use if there is none, meta ms
 * - returns: epoch, offset
 */
export const positionScript = `${readEpoch("ARGV[1]")}
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { epoch, tonumber(redis.call('HGET', KEYS[1], 'offset') or 0) }
`;

/**
 * Reads a piece of history together with where it stands, so that both are of one moment.
 *
 * - KEYS: meta, log
 * - ARGV: first offset wanted, most entries, epoch to use if there is none, meta ms
 * - returns: epoch, newest offset, oldest retained offset (or nil), entries as XRANGE returns them
 */
export const historyScript = `${readEpoch("ARGV[3]")}
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local last = tonumber(redis.call('HGET', KEYS[1], 'offset') or 0)
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local first = false
if oldest[1] then first = oldest[1][1] end
return { epoch, last, first, redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2]) }
`;
