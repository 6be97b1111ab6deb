// How many lines have which score, above the slider.

const BINS = 50;

export function histogram(canvas, scores, least, over, under) {
  const ratio = window.devicePixelRatio, box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  const counts = new Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
  const most = Math.max(1, ...counts), context = canvas.getContext("2d"), width = canvas.width / BINS;
  counts.forEach((count, i) => {
    const height = count ? Math.max(ratio, canvas.height * count / most) : 0;
    context.fillStyle = (i + 1) / BINS > least ? over : under;
    context.fillRect(i * width, canvas.height - height, Math.max(1, width - ratio), height);
  });
}
