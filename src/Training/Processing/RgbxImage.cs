namespace Phi3VCluster.Training.Processing;

/// <summary>A decoded picture, 8 bits a channel, unrotated and unblended.</summary>
/// <param name="Pixels">Height · width · 4 bytes: red, green, blue and one that means nothing; four, because vectors like it.</param>
internal sealed record RgbxImage(byte[] Pixels, int Width, int Height);
