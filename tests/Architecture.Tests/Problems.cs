namespace Phi3VCluster.Architecture.Tests;

internal static class Problems
{
    /// <summary>Fails with all of them at once, each on a line of its own, with what to do about them.</summary>
    public static void None(IEnumerable<string> found, string advice)
    {
        var all = found.ToList();
        if (all.Count > 0)
            Assert.Fail(string.Join(Environment.NewLine, [advice, .. all]));
    }
}
