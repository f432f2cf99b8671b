namespace Phi3VCluster.Client.Tests;

internal static class Some
{
    /// <summary>The same ones for the same seed.</summary>
    public static byte[] Bytes(int count, int seed = 1)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
