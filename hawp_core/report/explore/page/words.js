// How numbers, times and places are written.

export function counted(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

export function time(seconds) {
  return new Date(1000 * seconds).toLocaleString([], {day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
}

export function placeOf(set) {
  return set.key ? `${set.name}/${set.key}` : set.name;
}
