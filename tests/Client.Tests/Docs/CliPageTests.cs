namespace Phi3VCluster.Client.Tests.Docs;

public sealed class CliPageTests
{
    /// <summary>After a change of the verbs, PHI3V_REWRITE_CLI=1 writes the page anew: then review its difference.</summary>
    [Fact]
    public void The_reference_is_what_the_verbs_say()
    {
        var (page, written) = (CliPage.Text(), Checkout.At("docs/cli.md"));
        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_CLI") == "1") File.WriteAllText(written, page);
        Assert.Equal(File.ReadAllText(written), page);
    }
}
