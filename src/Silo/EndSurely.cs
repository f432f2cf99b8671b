namespace Phi3VCluster.Silo;

internal static class EndSurely
{
    /// <summary>Ends the process even if a rank's thread hangs in native code: nobody could stop that thread.</summary>
    public static void WhenStopping(IHostApplicationLifetime lifetime, TimeSpan patience) => lifetime.ApplicationStopping.Register(() =>
    {
        var thread = new Thread(() =>
        {
            Thread.Sleep(patience + TimeSpan.FromSeconds(2));
            Console.Error.WriteLine("The silo did not stop in time and ends itself.");
            Environment.Exit(1);
        })
        { IsBackground = true, Name = "end" };
        thread.Start();
    });
}
