/**
 * Subscribes a user to a topic. Written in any case: where it was there already, whoever put it there may not know that the
 * replicas of Redis have it, and WAIT says nothing of what was not written.
 *
 * - KEYS: the user's topics, a set
 * - ARGV: topic, most topics of a user
 * - returns: 1, or 0 when the user has too many
 */
export const addTopicScript = `
local isKnown = redis.call('SREM', KEYS[1], ARGV[1]) == 1
if not isKnown and redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
return 1
`;

/**
 * Ends what {@link addTopicScript} began; written in any case as well.
 *
 * - KEYS: the user's topics, a set
 * - ARGV: topic
 * - returns: 1
 */
export const removeTopicScript = `
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
`;
