namespace Phi3VCluster.Silo;

internal static class Health
{
    /// <summary>/health: 200 as long as the cluster counts this silo among its own, else 503.</summary>
    public static void MapHealth(this WebApplication app) => app.MapGet("/health", Answer);

    private static IResult Answer(IClusterMembershipService membership, ILocalSiloDetails silo)
    {
        var status = membership.CurrentSnapshot.GetSiloStatus(silo.SiloAddress);
        return Results.Text($"{status}\n",
            statusCode: status == SiloStatus.Active ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}
