namespace Phi3VCluster.Silo;

internal static class StandardInput
{
    /// <summary>The kernel closes the other end however its owner dies, kill -9 included.</summary>
    public static void WhenItEnds(Action then)
    {
        var thread = new Thread(() =>
        {
            using var input = Console.OpenStandardInput();
            var ignored = new byte[256];
            while (input.Read(ignored) > 0) { }
            then();
        })
        { IsBackground = true, Name = "stdin" };
        thread.Start();
    }
}
